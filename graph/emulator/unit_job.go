package emulator

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// States of a bulk addition job.
const (
	jobActive     = "active"
	jobCompleted  = "completed"
	jobWithErrors = "completedWithErrors"
)

// maxJobResources is how many resources one job takes, in both lists together.
const maxJobResources = 50_000

// additionJob adds many units to a policy at once, some time after it was made.
type additionJob struct {
	order  int // of creation, from 1
	id     string
	policy *policy
	name   *string
	named  []string // addresses or site URLs
	ids    []string
	failed map[string]publicError // what fault rules make fail, by resource
	status string
	err    *detailedError

	created, modified time.Time
	by                identitySet
}

func jobsPath(p *policy) string {
	in := p.workload.info()
	return "/" + in.policies + "/" + p.id + "/" + in.units + "BulkAdditionJobs"
}

// jobView is a job on the wire. The lists stand where a single job is shown.
func (c *call) jobView(j *additionJob, lists bool) map[string]any {
	w := j.policy.workload
	v := map[string]any{
		"@odata.type": odataType(w.info().units + "BulkAdditionJob"),
		"id":          j.id, "displayName": j.name, "status": j.status,
		"createdBy": j.by, "createdDateTime": graphTime(j.created),
		"lastModifiedBy": j.by, "lastModifiedDateTime": graphTime(j.modified),
	}
	if j.err != nil {
		v["error"] = j.err
	}
	if in := c.itemFault(j.id); in != nil {
		v["error"] = in.detailed()
	}
	if lists {
		named, ids := w.bulkLists()
		v[named], v[ids] = j.named, j.ids
	}
	return v
}

func (c *call) answerJob(j *additionJob, status int) *answer {
	v := c.jobView(j, true)
	v["@odata.context"] = c.context(jobsPath(j.policy) + "/$entity")
	return &answer{status: status, body: v, contentLocation: c.url(jobsPath(j.policy) + "/" + j.id)}
}

func listJobs(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		return locatedListing(c, jobsPath(p), p.jobs,
			func(j *additionJob) int { return j.order }, func(j *additionJob) any { return c.jobView(j, false) })
	}
}

func getJob(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		for _, j := range p.jobs {
			if strings.EqualFold(j.id, c.param(1)) {
				return c.answerJob(j, http.StatusOK), nil
			}
		}
		if !isGUID(c.param(1)) {
			return nil, refuse(c.r.Method, codeBadRequest, "The job id is not a GUID.")
		}
		return nil, refuse(c.r.Method, codeNotFound, "The policy has no bulk addition job %s.", c.param(1))
	}
}

// createJob makes the handler that creates a job. Its resources are looked at
// when its time is over, not before.
func createJob(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		j, err := readJob(c, w)
		if err != nil {
			return nil, err
		}
		t, why := c.tenant, c.cause()
		p.numbered++
		j.order, j.id, j.policy, j.status = p.numbered, t.newID("job"), p, jobActive
		j.created, j.modified, j.by = why.at, why.at, why.by
		p.jobs = append(p.jobs, j)
		resource := w.info().units + "BulkAdditionJob"
		t.record(why, resource, j.id, "", jobActive, 1)
		t.steps.schedule(why.at.Add(t.lengths.Job), func(at time.Time) {
			if t.policy(p.id) != p {
				return
			}
			t.work(j, cause{at: at})
			t.record(cause{at: at}, resource, j.id, jobActive, j.status, 1)
		})
		return c.answerJob(j, http.StatusCreated), nil
	}
}

func readJob(c *call, w Workload) (*additionJob, *graphError) {
	bad := func(format string, args ...any) (*additionJob, *graphError) {
		return nil, refuse(c.r.Method, codeBadRequest, format, args...)
	}
	badProperty := func(name, format string, args ...any) (*additionJob, *graphError) {
		return nil, refuse(c.r.Method, codeBadRequest, name+" "+format, args...).about(name)
	}
	named, ids := w.bulkLists()
	fields, ok := readObject(c.body)
	if !ok {
		return bad("The body is not a JSON object.")
	}
	if unknown := unknownField(fields, "displayName", named, ids); unknown != "" {
		return bad("A %sBulkAdditionJob has no property %q that can be set.", w.info().units, unknown)
	}
	j := &additionJob{named: []string{}, ids: []string{}}
	if !readField(fields, "displayName", &j.name) {
		return badProperty("displayName", "is not a string.")
	}
	if !readField(fields, named, &j.named) {
		return badProperty(named, "is not a list of strings.")
	}
	if !readField(fields, ids, &j.ids) {
		return badProperty(ids, "is not a list of strings.")
	}
	j.named, j.ids = append([]string{}, j.named...), append([]string{}, j.ids...) // null is an empty list
	if n := len(j.named) + len(j.ids); n == 0 || n > maxJobResources {
		_, err := bad("%s and %s have %d resources; there must be 1 to %d.", named, ids, n, maxJobResources)
		return nil, err.about(longer(named, len(j.named), ids, len(j.ids)))
	}
	if len(c.items) > 0 {
		j.failed = map[string]publicError{}
		for _, resource := range append(append([]string{}, j.named...), j.ids...) {
			if in := c.itemFault(resource); in != nil {
				j.failed[resource] = *in.on(resource)
			}
		}
	}
	return j, nil
}

// longer names the longer one of two lists: the one to make shorter.
func longer(first string, n int, second string, m int) string {
	if m > n {
		return second
	}
	return first
}

// work adds what a job names and notes what cannot be added.
func (t *tenant) work(j *additionJob, why cause) {
	j.status, j.modified = jobCompleted, why.at
	why.by = j.by
	var problems []publicError
	w := j.policy.workload
	each := func(resources []string, find func(Workload, string) object) {
		for _, resource := range resources {
			if problem, failed := j.failed[resource]; failed {
				problems = append(problems, problem)
				continue
			}
			o := find(w, resource)
			if !t.licensed(w, o) {
				problems = append(problems, unresolved(w, resource))
				continue
			}
			if problem := t.include(j.policy, o, sources{manual: true}, why); problem != nil {
				problem.Target = resource
				problems = append(problems, *problem)
			}
		}
	}
	each(j.named, t.objectByName)
	each(j.ids, t.objectByID)
	if len(problems) > 0 {
		j.status = jobWithErrors
		j.err = &detailedError{
			Code: "ProtectionResourcesNotFound", Message: "The job could not add what the details name.", Details: problems,
		}
	}
}

func unresolved(w Workload, resource string) publicError {
	code := "EmailNotFound"
	if w == SharePoint {
		code = "SiteUrlNotFound"
	}
	return publicError{Code: code, Message: fmt.Sprintf("The directory leads from %.255q to no %s.", resource, w.info().thing), Target: resource}
}
