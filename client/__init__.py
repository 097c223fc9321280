"""The client: sends records to the three services at the same time and merges what became of them.

It knows the services by HTTP alone and imports none of their code.
"""
