package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// Message is a mail to put into a user's mailbox.
type Message struct {
	Tenant        string    `json:"tenant,omitempty"` // empty is [Options.DefaultTenant]
	User          string    `json:"user"`             // object id or address
	Sender        string    `json:"sender"`
	Subject       string    `json:"subject"`
	HasAttachment bool      `json:"hasAttachment,omitempty"`
	Received      time.Time `json:"received,omitzero"` // zero: now
	// Deleted is when the user deleted it, which may be yet to come; zero:
	// never. Restore points before that still hold it.
	Deleted time.Time `json:"deleted,omitzero"`
}

type message struct {
	sender, subject   string
	attachment        bool
	received, deleted time.Time
}

// in tells whether a mailbox held the message at a moment.
func (m message) in(at time.Time) bool {
	return !m.received.After(at) && (m.deleted.IsZero() || m.deleted.After(at))
}

// deletedBy is when the message was deleted, as far as that is known at now.
func (m message) deletedBy(now time.Time) time.Time {
	if m.deleted.After(now) {
		return time.Time{}
	}
	return m.deleted
}

// AddMessage puts a mail into a mailbox. It refuses a tenant that is no GUID, a
// user without a mailbox, and a deletion before the arrival.
func (e *Emulator) AddMessage(m Message) error {
	return e.inTenant(cmp.Or(m.Tenant, e.opts.DefaultTenant), func(t *tenant, now time.Time) error {
		_, err := t.addMessage(m, now)
		return err
	})
}

// addMessage returns the number of the user.
func (t *tenant) addMessage(m Message, now time.Time) (number int, err error) {
	u, ok := t.dir.userByID(m.User)
	if !ok {
		u, ok = t.dir.userByName(m.User)
	}
	if !ok || !u.licensed {
		return 0, fmt.Errorf("tenant %s has no user %q with a mailbox", t.id, m.User)
	}
	if m.Received.IsZero() {
		m.Received = now
	}
	if !m.Deleted.IsZero() && m.Deleted.Before(m.Received) {
		return 0, errors.New("the message was deleted before it was received")
	}
	t.vault.messages[u.number] = append(t.vault.messages[u.number], message{
		sender: m.Sender, subject: m.Subject, attachment: m.HasAttachment, received: m.Received, deleted: m.Deleted,
	})
	return u.number, nil
}

func (e *Emulator) controlMail(in controlRequest) (any, error) {
	var what Message
	if err := in.read(&what); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return struct{}{}, e.AddMessage(what)
}

func subjects() [7]string {
	return [...]string{
		"Weekly figures", "Important", "Invoice attached", "Please check email rules",
		"Lunch on Thursday", "Minutes of the meeting", "Travel plans",
	}
}

// mailbox is the mail of a user: what is computed, then what was added. Message
// i of user n came i times 17 hours before the seed. It is from the user n+i,
// each third one from outside; each second one has an attachment, and each
// fourth one is deleted, i/4 times 6 hours after the seed.
func (t *tenant) mailbox(n int) []message {
	if t.vault.ownMail[n] {
		return slices.Clone(t.vault.messages[n])
	}
	subject := subjects()
	var all []message
	for i := 1; i <= 24+n%8; i++ {
		m := message{
			sender: "news@partner.example", subject: subject[i%len(subject)], attachment: i%2 == 0,
			received: t.vault.seededAt.Add(-time.Duration(i) * 17 * time.Hour),
		}
		if i%3 != 0 {
			m.sender = t.dir.user((n+i-1)%t.dir.users + 1).mail
		}
		if i%4 == 0 {
			m.deleted = t.vault.seededAt.Add(time.Duration(i/4) * 6 * time.Hour)
		}
		all = append(all, m)
	}
	return append(all, t.vault.messages[n]...)
}

// findMail returns the messages of a mailbox that a query fits; nil fits all.
func (t *tenant) findMail(n int, q *expression.Query, now time.Time) []message {
	var found []message
	for _, m := range t.mailbox(n) {
		if q == nil || q.Matches(func(x *expression.Comparison) bool { return m.holds(x, now) }) {
			found = append(found, m)
		}
	}
	return found
}

func (m message) holds(x *expression.Comparison, now time.Time) bool {
	switch x.Property {
	case "Sender":
		return x.HoldsText(m.sender)
	case "Subject":
		return x.HoldsText(m.subject)
	case "HasAttachment":
		return x.Value == fmt.Sprint(m.attachment)
	}
	return x.HoldsTime(m.deletedBy(now))
}

// countIn is how many of the messages a mailbox held at a moment.
func countIn(messages []message, at time.Time) int {
	n := 0
	for _, m := range messages {
		if m.in(at) {
			n++
		}
	}
	return n
}

// maxSearches is how many mail searches a tenant remembers for restores.
const maxSearches = 10_000

// mailSearch is what a searchResponseId stands for.
type mailSearch struct {
	unit  string // id
	query *expression.Query
}

// remember keeps a search, and forgets the oldest one beyond maxSearches.
func (v *vault) remember(id string, s mailSearch) {
	v.searches[id] = s
	v.searched = append(v.searched, id)
	if len(v.searched) > maxSearches {
		delete(v.searches, v.searched[0])
		v.searched = v.searched[1:]
	}
}
