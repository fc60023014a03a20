"""Text and audio encoders from the papers."""
