package main

// serveCommand serves gRPC until a signal.
type serveCommand struct {
	Configuration config `embed:""`
}

func (s *serveCommand) configuration() *config { return &s.Configuration }

// Run implements the command.
func (s *serveCommand) Run(to streams) error {
	ctx, stop := untilSignal()
	defer stop()
	go giveBackAtRest(ctx)
	return run(ctx, &s.Configuration, to.out, to.log)
}
