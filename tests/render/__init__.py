"""Tests of what a comparison looks like."""
