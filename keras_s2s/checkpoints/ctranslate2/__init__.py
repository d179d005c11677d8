"""Folders of CTranslate2, read and written: one table of variables serves both directions."""
