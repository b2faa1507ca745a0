"""The methods that papers compare with, in one protocol: their table, their training by PyKEEN, and their results."""
