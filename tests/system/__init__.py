"""Tests of real processes on free ports."""
