package main

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// envPrefix starts the environment variable of every flag: --listen is BACKUPSTORAGE_LISTEN.
const envPrefix = "BACKUPSTORAGE_"

// errHelp is the error of a command line that asks for help, and got it.
var errHelp = errors.New("help was printed")

// variables are environment variables and their values.
type variables map[string]string

// variablesOf reads lines of the form NAME=value.
func variablesOf(environment []string) variables {
	v := make(variables)
	for _, line := range environment {
		name, value, _ := strings.Cut(line, "=")
		v[name] = value
	}
	return v
}

// get returns a variable, empty when it is not set.
func (v variables) get(name string) string { return v[name] }

// variable is the environment variable of a flag.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parsed is a command line that was understood.
type parsed struct {
	commands *commands
	context  *kong.Context
	parser   *kong.Kong
}

// parse reads flags and environment variables. It writes help to out, and returns errHelp. Any other error is one line
// for the person who started the program. It never contains a value: that can be a key.
func parse(arguments []string, env variables, out io.Writer) (*parsed, error) {
	p := &parsed{commands: new(commands)}
	helped := false
	sources := make(map[string]string)
	parser, err := kong.New(p.commands,
		kong.Name("server"),
		kong.Vars{"version": buildVersionText()},
		kong.Description("Serves Microsoft Graph's Backup Storage API over gRPC. Without flags it runs on its built-in emulator, on loopback."),
		kong.Writers(out, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 120}),
		kong.ValueFormatter(helpOf),
		kong.WithHyphenPrefixedParameters(true),
		kong.Resolvers(fromEnvironment(env, sources)),
		kong.KindMapper(reflect.String, value{}), kong.KindMapper(reflect.Int, value{}), kong.KindMapper(reflect.Int64, value{}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), value{}), kong.KindMapper(reflect.Bool, boolean{}),
	)
	if err != nil {
		return nil, err
	}
	p.parser = parser
	p.context, err = parser.Parse(withTwoDashes(arguments))
	if helped {
		return nil, errHelp
	}
	if err != nil {
		return nil, p.explain(err, sources)
	}
	if err := p.checkNames(env); err != nil {
		return nil, err
	}
	for _, step := range p.context.Path {
		if step.Flag != nil && !step.Resolved {
			sources[step.Flag.Name] = sourceFlag
		}
	}
	if c := p.config(); c != nil {
		c.sources, c.flags, c.getenv = sources, p.context.Selected().Flags, env.get
		if err := c.check(env.get); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// config is the configuration of the command, nil when the command has none.
func (p *parsed) config() *config {
	if command, ok := reflect.TypeAssert[interface{ configuration() *config }](p.context.Selected().Target.Addr()); ok {
		return command.configuration()
	}
	return nil
}

// run carries out the command.
func (p *parsed) run(s streams) error { return p.context.Run(s) }

// explain makes an error of kong's a line without values.
func (p *parsed) explain(err error, sources map[string]string) error {
	if wrong, ok := errors.AsType[*valueError](err); ok {
		if source, ok := strings.CutPrefix(sources[wrong.flag], sourceVariable); ok {
			return fmt.Errorf("environment variable %s has a value that --%s does not accept (%s)", source, wrong.flag, wrong.help)
		}
		return fmt.Errorf("--%s has no value that it accepts (%s)", wrong.flag, wrong.help)
	}
	// These two name a flag, and no value.
	if strings.HasPrefix(err.Error(), "unknown flag ") || strings.HasPrefix(err.Error(), "flag --") {
		return fmt.Errorf("%w; --help lists the flags", err)
	}
	var names []string
	for _, command := range p.parser.Model.Leaves(true) {
		names = append(names, command.Path())
	}
	return fmt.Errorf("an argument is neither a flag nor a command, or a command is not complete; the commands are %s", strings.Join(names, ", "))
}

// singleDash is a flag as Go's flag package writes it.
var singleDash = regexp.MustCompile(`^-[a-z][a-z-]+(=|$)`)

// withTwoDashes lets flags have one dash as well.
func withTwoDashes(arguments []string) []string {
	arguments = slices.Clone(arguments)
	for i, argument := range arguments {
		if argument == "--" {
			break
		}
		if singleDash.MatchString(argument) {
			arguments[i] = "-" + argument
		}
	}
	return arguments
}

// The sources of a value. sourceVariable comes before the name of the variable.
const (
	sourceFlag     = "flag"
	sourceDefault  = "default"
	sourceVariable = "environment "
)

// fromEnvironment resolves the flags that the command line does not have, and notes where their values come from.
func fromEnvironment(env variables, sources map[string]string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := variable(flag.Name)
		// --help and --version are asked for by people alone.
		if env[name] == "" || flag.Name == "help" || flag.Name == "version" {
			return nil, nil
		}
		sources[flag.Name] = sourceVariable + name
		return env[name], nil
	})
}

// ofKubernetes are the variables that Kubernetes sets in the containers of a namespace that has a Service whose name
// begins with backupstorage.
var ofKubernetes = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// checkNames refuses variables that begin like those of the flags and belong to none: a mistyped
// BACKUPSTORAGE_TLS_CLIENT_CA_FILE must not leave the server open.
func (p *parsed) checkNames(env variables) error {
	known := make(map[string]bool)
	for _, command := range p.parser.Model.Leaves(false) {
		for _, flag := range command.Flags {
			known[variable(flag.Name)] = true
		}
	}
	// Clients' launchers of the emulator find the program by it: clients/README.md.
	known[strings.TrimSuffix(envPrefix, "_")+"_EMULATOR"] = true
	var unknown []string
	for name, value := range env {
		if strings.HasPrefix(name, envPrefix) && value != "" && !known[name] && !ofKubernetes.MatchString("_"+strings.TrimPrefix(name, envPrefix)) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("environment variable %s belongs to no flag: remove it, or correct its name; --help lists the variables", strings.Join(unknown, ", "))
}

// valueError is the error for a value that a flag does not accept. It does not contain the value.
type valueError struct{ flag, help string }

func (e *valueError) Error() string { return "--" + e.flag + ": wrong value" }

// value reads the value of a flag. Kong's own mappers print the value that they do not accept.
type value struct{}

// Decode implements kong.Mapper.
func (value) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	wrong := &valueError{ctx.Value.Name, ctx.Value.Help}
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return wrong
	}
	text := token.String()
	switch target.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong
		}
		target.SetInt(int64(d))
	case int, int64:
		n, err := strconv.ParseInt(text, 0, target.Type().Bits())
		if err != nil {
			return wrong
		}
		target.SetInt(n)
	default:
		target.SetString(text)
	}
	return nil
}

// boolean reads a flag that needs no value.
type boolean struct{}

// IsBool implements kong.BoolMapper.
func (boolean) IsBool() bool { return true }

// Decode implements kong.Mapper.
func (boolean) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	on, err := strconv.ParseBool(ctx.Scan.Pop().String())
	if err != nil {
		return &valueError{ctx.Value.Name, ctx.Value.Help}
	}
	target.SetBool(on)
	return nil
}
