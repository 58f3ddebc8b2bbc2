"""Wan and Wan VACE."""
