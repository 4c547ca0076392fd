"""AWS Fault Injection Service: its catalogue of actions, lint and rendering of templates."""
