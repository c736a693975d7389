package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"text/tabwriter"

	"github.com/m365backup/backupstorage/internal/reload"
)

// configCommand prints the configuration that serve would have with the same flags and variables.
type configCommand struct {
	Configuration config `embed:""`
}

func (c *configCommand) configuration() *config { return &c.Configuration }

// Run implements the command.
func (c *configCommand) Run(to streams) error {
	if err := printConfig(to.out, &c.Configuration); err != nil {
		return err
	}
	return c.Configuration.readFiles()
}

// readFiles reads the files that the configuration names as serve does, and returns what is wrong with each. It sends
// nothing, listens nowhere, and leaves the audit file alone.
func (c *config) readFiles() error {
	logger := slog.New(slog.DiscardHandler)
	files := reload.NewReader(c.ReloadInterval, logger)
	_, stopTokens, tokens := c.tokens(logger, files)
	if tokens == nil {
		stopTokens()
	}
	_, keys := c.openKeys(files, func([][]byte) error { return nil })
	_, callers := c.openCallers(files, logger)
	_, _, tls := c.TLS.open(files)
	_, ofWeb := c.webTLS(files)
	_, redis := c.Redis.options(files)
	return errors.Join(tokens, keys, callers, tls, ofWeb, redis)
}

// printConfig prints a line for each flag: its value as it is in force, and where that comes from. It
// changes nothing: the admin port prints it while the server runs.
func printConfig(out io.Writer, c *config) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	group := ""
	for _, flag := range c.flags {
		if flag.Group != nil && flag.Group.Title != group {
			if group != "" {
				fmt.Fprintln(table)
			}
			group = flag.Group.Title
			fmt.Fprintf(table, "# %s\n", group)
		}
		text := fmt.Sprint(flag.Target.Interface())
		switch {
		case flag.Name == "max-response-bytes":
			text = fmt.Sprint(c.responseBytes(debug.SetMemoryLimit(-1)))
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
