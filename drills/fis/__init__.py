"""AWS Fault Injection Service: its catalogue of actions, and what is wrong with a template."""
