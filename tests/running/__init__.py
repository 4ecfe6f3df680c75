"""Tests of running two models side by side: options, single steps, what is left behind."""
