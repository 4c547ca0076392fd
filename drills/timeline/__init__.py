"""The drill's one timeline: events, marks, facts, the hash chain and the sample files of observers."""
