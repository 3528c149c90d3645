package tools

var fileCommands, writeCommands []*Command
