// Package audit writes down who did what: one JSON line for each attempt of a write before it goes to Graph, and one
// for its outcome.
//
//	kind      when                                                       waits for the line
//	start     the file is opened by a process                            yes
//	attempt   before the first byte of a write goes to Graph             yes
//	outcome   after it; `attempt` is the seq of the attempt              yes
//	denied    a call that was refused; at most 1 a second for a caller   no
//	read      a read that showed people or content                       yes
//	end       the process stops                                          yes
//
// Fields of a line. Empty ones are left out.
//
//	field             what it is                                             personal data
//	time              UTC, to the nanosecond                                 no
//	instance          random, new with each start of a process               no
//	seq               1, 2, 3, … within the instance                         no
//	kind              see above                                              no
//	attempt           the seq of the attempt that an outcome belongs to      no
//	principal         the caller, as the rights file names it                when the caller is a person
//	tenant            the GUID of the tenant                                 no
//	rpc               `Service/Method`                                       no
//	effects           what the call does to backups, such as CHANGE          no
//	ids               the ids of the path, by their fields                   ids of units stand for people
//	requestId         the id of the call                                     no
//	graphRequestIds   Graph's ids of its requests, at most 8                 no
//	code, reason      the gRPC code and the reason                           no
//	outcome           ok, failed or unknown                                  no
//	onBehalfOf        the object id of the user, never a name                yes
//	suppressed        calls of this kind that got no line before this one    no
//	lost              lines before this one that could not be written        no
//
// Each line is one write(2) to a file that is opened for appending. What write(2) has taken survives the end of the
// process, SIGKILL too; with Options.Sync it survives the loss of power. A line takes at most 100 ms; then its call
// goes on without it, or is refused where the line is required. A line that was not written leaves a gap in seq, and
// the next one says how many are lost: Verify tells such a gap from lines that somebody removed.
package audit

import (
	"errors"
	"fmt"
	"slices"
)

// Mode says what happens when a line cannot be written.
type Mode string

// The modes.
const (
	// Off writes nothing.
	Off Mode = "off"
	// BestEffort counts lines that could not be written, and lets their calls go on.
	BestEffort Mode = "best-effort"
	// Required refuses writes whose attempt could not be written.
	Required Mode = "required"
)

// Modes are all of them.
var Modes = []Mode{Off, BestEffort, Required}

// ParseMode reads a mode. The error lists the modes.
func ParseMode(text string) (Mode, error) {
	if mode := Mode(text); slices.Contains(Modes, mode) {
		return mode, nil
	}
	return "", fmt.Errorf("must be %s, %s or %s", Off, BestEffort, Required)
}

// ErrUnavailable says that a line that is required was not written in time. The call must be refused with
// AUDIT_UNAVAILABLE before anything goes to Graph.
var ErrUnavailable = errors.New("the audit line could not be written")
