"""Tests of pure functions and classes."""
