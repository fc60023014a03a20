"""Encoders and rankers that only the reproductions of five papers need.

They enter by the same entry points as the plug-ins of strangers. Code here may import `toolkit`, which never imports
`segue_papers`. Each module names its paper. The papers are

- van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", NIPS 2013;
- Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", ACM Multimedia 2014;
- Liang, Zhan and Ellis, "Content-aware collaborative music recommendation using pre-trained neural networks", ISMIR
  2015;
- Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music recommendation", DLRS 2017;
- Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", arXiv 2018.
"""
