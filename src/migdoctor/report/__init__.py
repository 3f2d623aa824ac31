"""How a report is shown. Reporters turn values into text; none of them looks at a database."""
