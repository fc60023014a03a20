"""What a plug-in extends: one base class a module. Nothing here imports torch, so that a recipe is checked without it."""
