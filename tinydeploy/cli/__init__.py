"""The command line: each command is a module that parses its arguments, calls the pipeline and renders a report.

`main.py` finds commands by name and turns errors into exit codes; `common.py` has the options and arguments
that commands share. Nothing heavier than click is imported before a command needs it.
"""
