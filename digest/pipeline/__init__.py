"""The daily job and its steps in order."""
