"""The command line: the only parsing of arguments. Nothing below imports from here."""
