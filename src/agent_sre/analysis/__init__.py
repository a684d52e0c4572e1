"""From a diagnosis to words: the agent, its LangGraph machine, the rules' author and the models."""
