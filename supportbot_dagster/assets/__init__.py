"""The assets, one file for each group of the graph. They read, call one library function, and
return the value with metadata that a person wants to look at.
"""
