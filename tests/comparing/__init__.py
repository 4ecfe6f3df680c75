"""Tests of comparing: pairs of layers, figures of tensors, records and the verdict."""
