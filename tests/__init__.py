"""Tests: unit/ is pure, integration/ is one service with a real database, system/ is real processes and real faults."""
