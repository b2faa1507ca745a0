"""Names as files have them: their forms, triplets of names, words of ids, and what readers return."""
