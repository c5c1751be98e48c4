"""`kubectl pp`: look after uploads in postprocessing. Standard library only, kubectl does the rest."""
