"""Tests of matching: which layers and tensors of two trees belong together."""
