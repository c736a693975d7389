package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// configCommand prints the configuration that serve would have with the same flags and variables.
type configCommand struct {
	Configuration config `embed:""`
}

func (c *configCommand) configuration() *config { return &c.Configuration }

// Run implements the command.
func (c *configCommand) Run(to streams, context *kong.Context) error {
	return printConfig(to.out, &c.Configuration, context.Selected().Flags)
}

// printConfig prints a line for each flag: its value as it is in force, and where that comes from.
func printConfig(out io.Writer, c *config, flags []*kong.Flag) error {
	c.MaxResponseBytes = c.responseBytes(debug.SetMemoryLimit(-1))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	group := ""
	for _, flag := range flags {
		if flag.Group != nil && flag.Group.Title != group {
			if group != "" {
				fmt.Fprintln(table)
			}
			group = flag.Group.Title
			fmt.Fprintf(table, "# %s\n", group)
		}
		text := fmt.Sprint(flag.Target.Interface())
		switch {
		case text == "":
			text = "not set"
		case flag.Tag.Has("secret"):
			text = "set"
		case flag.Name == "graph-endpoint":
			text = c.endpointForPeople()
		}
		fmt.Fprintf(table, "--%s\t%s\t%s\n", flag.Name, text, cmp.Or(c.sources[flag.Name], sourceDefault))
	}
	fmt.Fprintln(table, "\n# Environment")
	for _, v := range []struct{ name, value string }{
		{"AZURE_CLIENT_SECRET", c.Credential.secret}, {"AZURE_FEDERATED_TOKEN_FILE", c.Credential.federatedTokenFile},
	} {
		switch {
		case v.value == "":
			continue
		case v.name == "AZURE_CLIENT_SECRET":
			v.value = "set"
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\n", v.name, v.value, sourceVariable, v.name)
	}
	limit, source := debug.SetMemoryLimit(-1), "container"
	switch {
	case os.Getenv("GOMEMLIMIT") != "":
		source = sourceVariable + "GOMEMLIMIT"
	case limit == math.MaxInt64:
		source = sourceDefault
	}
	text := "no limit"
	if limit != math.MaxInt64 {
		text = fmt.Sprint(limit)
	}
	fmt.Fprintf(table, "GOMEMLIMIT\t%s\t%s\n", text, source)
	return table.Flush()
}
