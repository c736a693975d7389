package emulator

import (
	"slices"
	"strings"
)

// ofPolicy has a handler for policies work on those of one workload alone.
func ofPolicy(w Workload, handle handler) handler {
	return func(c *call) (*answer, *graphError) {
		if _, err := c.policyOfWorkload(w); err != nil {
			return nil, err
		}
		return handle(c)
	}
}

// ofSession has a handler for restore sessions work on those of one workload alone.
func ofSession(w Workload, handle handler) handler {
	return func(c *call) (*answer, *graphError) {
		if _, err := c.sessionOfWorkload(w); err != nil {
			return nil, err
		}
		return handle(c)
	}
}

// ofAnyBrowse has a handler for the browse sessions of one workload work on all.
func ofAnyBrowse(handle func(Workload) handler) handler {
	return func(c *call) (*answer, *graphError) {
		w := OneDrive // whose handler refuses what is no session at all
		if b := c.tenant.vault.browse(c.param(0)); b != nil {
			w = b.workload
		}
		return handle(w)(c)
	}
}

// getAnyBrowse shows a browse session with its type, which the path does not say.
func getAnyBrowse(c *call) (*answer, *graphError) {
	b, err := ofAnyBrowseSession(c)
	if err != nil {
		return nil, err
	}
	v := b.typedView()
	v.Context = c.context("/browseSessions/$entity")
	return ok(v), nil
}

func ofAnyBrowseSession(c *call) (*browseSession, *graphError) {
	if b := c.tenant.vault.browse(c.param(0)); b != nil {
		return b, nil
	}
	return c.browseOf(OneDrive) // which refuses it
}

func listWorkloadPolicies(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		c.tenant.prepareStore(c.cause())
		shown := slices.DeleteFunc(slices.Clone(c.tenant.policies), func(p *policy) bool { return p.workload != w })
		return locatedListing(c, "/"+w.info().policies, shown,
			func(p *policy) int { return p.order }, func(p *policy) any { return p.typedView() })
	}
}

func listWorkloadSessions(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		q, err := c.readQuery("$top")
		if err != nil {
			return nil, err
		}
		shown := slices.DeleteFunc(slices.Clone(c.tenant.vault.sessions), func(s *restoreSession) bool { return s.workload != w })
		return listing(c, q, "/"+w.info().name+"RestoreSessions", shown,
			func(s *restoreSession) int { return s.order }, func(s *restoreSession) any { return s.typedView() }), nil
	}
}

// getWorkloadUnit shows a unit like getUnit. One of another workload is not in
// the collection.
func getWorkloadUnit(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		if u := c.tenant.findUnit(canonicalUnitID(c.param(0))); u != nil && u.workload != w {
			return nil, refuse(c.r.Method, codeNotFound, "Protection unit %s is none of a %s.", u.id, w.info().thing)
		}
		return getUnit(c)
	}
}

// getPolicyUnit shows a unit of a policy.
func getPolicyUnit(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		c.params = c.params[1:]
		u, err := c.unitOf()
		if err != nil {
			return nil, err
		}
		if u.policy != p {
			return nil, refuse(c.r.Method, codeNotFound, "Protection unit %s is not in the policy.", u.id)
		}
		return getUnit(c)
	}
}

func getPoint(c *call) (*answer, *graphError) {
	p, err := c.pointOf()
	if err != nil {
		return nil, err
	}
	v := struct {
		Context string `json:"@odata.context"`
		pointView
	}{c.context("/restorePoints/$entity"), p.view()}
	return ok(v), nil
}

func getPointUnit(c *call) (*answer, *graphError) {
	p, err := c.pointOf()
	if err != nil {
		return nil, err
	}
	c.params = []string{p.unit.id}
	return getUnit(c)
}

// pointOf finds the restore point that the path names, as long as it is kept.
func (c *call) pointOf() (*restorePoint, *graphError) {
	p := c.tenant.findPoint(c.param(0), c.now)
	if p == nil || !p.kept(c.now) {
		return nil, refuse(c.r.Method, codeNotFound, "This tenant has no restore point %.200s.", c.param(0))
	}
	return p, nil
}

// artifactOf finds the artifact that the path names.
func (c *call) artifactOf(w Workload, granular bool) (*restoreArtifact, *graphError) {
	s, err := c.sessionOfWorkload(w)
	if err != nil {
		return nil, err
	}
	for _, a := range s.artifacts {
		if (a.kind == granularItem) == granular && strings.EqualFold(a.id, c.param(1)) {
			return a, nil
		}
	}
	return nil, refuse(c.r.Method, codeNotFound, "The restore session has no artifact %.200s.", c.param(1))
}

func getArtifact(w Workload, granular bool) handler {
	return func(c *call) (*answer, *graphError) {
		a, err := c.artifactOf(w, granular)
		if err != nil {
			return nil, err
		}
		return ok(c.listedArtifact(a)), nil
	}
}

func getArtifactPoint(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		a, err := c.artifactOf(w, false)
		if err != nil {
			return nil, err
		}
		return ok(a.point.view()), nil
	}
}

// listGranularMail lists the artifacts of mail that was found, which the list of
// mailboxes has too.
func listGranularMail(c *call) (*answer, *graphError) {
	s, err := c.sessionOfWorkload(Exchange)
	if err != nil {
		return nil, err
	}
	q, err := c.readQuery("$top")
	if err != nil {
		return nil, err
	}
	shown := slices.DeleteFunc(slices.Clone(s.artifacts), func(a *restoreArtifact) bool { return a.kind != granularMail })
	where := "/exchangeRestoreSessions('" + s.id + "')/" + Exchange.artifacts(granularMail)
	return listing(c, q, where, shown, func(a *restoreArtifact) int { return a.position }, c.listedArtifact), nil
}

// inOnlyPolicy has a handler for a policy's collection work on the workload's
// active policy or, without one, on its only one: the SDKs can name none.
func inOnlyPolicy(w Workload, handle handler) handler {
	return func(c *call) (*answer, *graphError) {
		chosen := c.tenant.otherActive(w, nil)
		for _, p := range c.tenant.policies {
			if p.workload != w || c.tenant.otherActive(w, nil) != nil {
				continue
			}
			if chosen != nil {
				return nil, refuse(c.r.Method, codeBadRequest, "The tenant has several policies for this workload and none is active: use the path of one.")
			}
			chosen = p
		}
		if chosen == nil {
			return nil, refuse(c.r.Method, codeBadRequest, "The tenant has no policy for this workload.")
		}
		c.params = []string{chosen.id}
		return handle(c)
	}
}

// ofAnyRule has a handler for a rule of a policy work on a rule that the path
// names without its policy.
func ofAnyRule(w Workload, handle handler) handler {
	return func(c *call) (*answer, *graphError) {
		id := c.param(0)
		if !isGUID(id) {
			return nil, refuse(c.r.Method, "InvalidInclusionRuleId", "The rule id is not a GUID.")
		}
		for _, r := range c.tenant.rulesOf(w) {
			if strings.EqualFold(r.id, id) {
				c.params = []string{r.policy.id, r.id}
				return handle(c)
			}
		}
		return nil, refuse(c.r.Method, "ProtectionRuleNotFound", "This tenant has no such inclusion rule %s.", id)
	}
}

func ofAnyJob(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		id := c.param(0)
		for _, j := range c.tenant.jobsOf(w) {
			if strings.EqualFold(j.id, id) {
				c.params = []string{j.policy.id, j.id}
				return getJob(w)(c)
			}
		}
		if !isGUID(id) {
			return nil, refuse(c.r.Method, codeBadRequest, "The job id is not a GUID.")
		}
		return nil, refuse(c.r.Method, codeNotFound, "This tenant has no bulk addition job %s.", id)
	}
}

func (t *tenant) rulesOf(w Workload) (all []*inclusionRule) {
	for _, p := range t.policies {
		if p.workload == w {
			all = append(all, p.rules...)
		}
	}
	return all
}

func (t *tenant) jobsOf(w Workload) (all []*additionJob) {
	for _, p := range t.policies {
		if p.workload == w {
			all = append(all, p.jobs...)
		}
	}
	return all
}

func listAllRules(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		return tenantWide(c, "/"+w.info().thing+"InclusionRules", c.tenant.rulesOf(w), func(r *inclusionRule) any { return c.ruleView(r) })
	}
}

func listAllJobs(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		return tenantWide(c, "/"+w.info().units+"BulkAdditionJobs", c.tenant.jobsOf(w), func(j *additionJob) any { return c.jobView(j, false) })
	}
}

// tenantWide lists what all policies have. Pages go by place: what is deleted
// between two of them moves the rest.
func tenantWide[T comparable](c *call, where string, all []T, show func(T) any) (*answer, *graphError) {
	return locatedListing(c, where, all, func(one T) int { return slices.Index(all, one) + 1 }, show)
}
