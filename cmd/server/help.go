package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// printHelp prints the help of a command. That of the program is that of serve, since most people need no other.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil {
		ctx.Path = append(ctx.Path, &kong.Path{Command: ctx.Model.DefaultCmd, Parent: ctx.Model.Node})
		fmt.Fprintf(ctx.Stdout, "%s\n\nCommands:\n", ctx.Model.Help)
		for _, command := range ctx.Model.Leaves(true) {
			fmt.Fprintf(ctx.Stdout, "  %-16s%s\n", command.Path(), command.Help)
		}
		fmt.Fprintf(ctx.Stdout, "\n%s COMMAND --help prints the help of a command. A flag wins over its environment variable.\n\n", ctx.Model.Name)
	}
	// A reader that has seen enough and went away, such as head, is no error.
	_ = kong.DefaultHelpPrinter(options, ctx)
	return nil
}

// helpOf is the help of a flag, with its variable.
func helpOf(value *kong.Value) string {
	if value.Flag == nil || value.Name == "help" {
		return value.Help
	}
	if value.HasDefault {
		return fmt.Sprintf("%s (default %s) [%s]", value.Help, value.Default, variable(value.Name))
	}
	return fmt.Sprintf("%s [%s]", value.Help, variable(value.Name))
}
