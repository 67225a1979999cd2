"""What people and machines read: each report is built once as rows and data, and rendered as a table, JSON or Markdown.

`document.py` has the values; one module for each report makes them from the stages' results; `table.py`,
`json.py` and `markdown.py` render any of them. Nothing here prints.
"""
