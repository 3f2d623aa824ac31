"""Readers: each looks at one thing, records what could not be seen, and touches nothing."""
