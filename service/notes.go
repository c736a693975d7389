package service

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

// notes counts and logs what readers of responses note: values that cannot be read, and members of enums that the
// contract does not have. Neither fails the call.
type notes struct {
	logger         *slog.Logger
	unread, member atomic.Uint64

	mu sync.Mutex
	// told is when a member was last logged, by property and spelling.
	told map[string]time.Time
}

const (
	// tellAgain is how long a member is not logged again.
	tellAgain = time.Minute
	// maxTold bounds the members that are remembered. Graph could send a new one with every response.
	maxTold = 100
)

func newNotes(logger *slog.Logger) *notes {
	return &notes{logger: logger, told: make(map[string]time.Time)}
}

// take counts and logs the notes about one response.
func (n *notes) take(ctx context.Context, op *contract.Operation, got pb.GraphNotes) {
	n.unread.Add(uint64(got.UnreadCount))
	n.member.Add(uint64(got.UnknownMemberCount))
	if got.UnreadCount > 0 {
		values := make([]string, len(got.Unread))
		for i, one := range got.Unread {
			values[i] = one.Property + ": " + one.Expected + " expected"
		}
		n.logger.LogAttrs(ctx, slog.LevelWarn, "values of a response could not be read", slog.String("operation", op.Name),
			slog.String("requestId", interceptor.RequestID(ctx)), slog.Int("count", got.UnreadCount), slog.Any("values", values))
	}
	for _, one := range got.UnknownMembers {
		property := indexes.ReplaceAllString(one.Property, "[]")
		name := "(not shown)"
		if plainMember.MatchString(one.Name) {
			// The name aliases the body.
			name = strings.Clone(one.Name)
		}
		if n.mayTell(property+" "+name, time.Now()) {
			n.logger.LogAttrs(ctx, slog.LevelWarn, "unknown enum member", slog.String("operation", op.Name),
				slog.String("requestId", interceptor.RequestID(ctx)), slog.String("property", property), slog.String("member", name))
		}
	}
}

var (
	// plainMember matches the spellings that are logged: whoever responds in Graph's place chooses them.
	plainMember = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	indexes     = regexp.MustCompile(`\[\d+\]`)
)

// mayTell reports whether a member may be logged now, and notes that it is.
func (n *notes) mayTell(member string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last, ok := n.told[member]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if len(n.told) >= maxTold {
		for other, last := range n.told {
			if now.Sub(last) >= tellAgain {
				delete(n.told, other)
			}
		}
		if len(n.told) >= maxTold {
			return false
		}
	}
	n.told[member] = now
	return true
}
