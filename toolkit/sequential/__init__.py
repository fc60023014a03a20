"""BERT4Rec and SASRec, trained on all positions of flat playlists."""
