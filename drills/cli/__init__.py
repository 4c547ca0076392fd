"""The doors: click commands, one file for each group; here the parts are put together."""
