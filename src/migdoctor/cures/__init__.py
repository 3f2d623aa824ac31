"""What follows from a position: how record and schema stand to each other, and cures made of the
project's own recorded statements. Pure; shared by the checks of the position and its report."""
