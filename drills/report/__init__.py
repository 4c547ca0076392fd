"""Timeline and verdicts, told to a person or a program."""
