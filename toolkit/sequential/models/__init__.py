"""Sequential models that recipes name, one per file.

Importing a model class does not import its layers. Layers and networks are imported when a network is built.
"""
