"""From docs sections to question-and-answer pairs: teachers and filters."""
