"""Tests of one service's app with a real database in a temporary folder."""
