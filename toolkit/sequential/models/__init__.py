"""Sequential models as a recipe names them, one file each.

They are light: layers and networks are imported when one is built.
"""
