package service

// FixChance takes chance out of the Statuses of a server: no jitter, and one id for all incidents.
func (s *Server) FixChance(incident string) {
	s.core.translator.jitter = func() float64 { return 0 }
	s.core.translator.incident = func() string { return incident }
}
