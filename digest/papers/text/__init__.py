"""Strangers' text: cleaned, made readable, compared, and made to fit.

clean ──▶ readable (latex) ──▶ header, fold          fit: snippets and lines, of what is readable already
"""
