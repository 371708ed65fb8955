"""Past support tickets: imported, chosen, freed of personal data, split by number of turns.

What lives here: everything between a help desk's export and :class:`Conversation` records, and the
light edit that makes a training pair of one. What does not: where the records are kept, and the
dataset made of them. Importing this package imports neither presidio nor spaCy.
"""
