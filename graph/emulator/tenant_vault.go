package emulator

import "time"

// vault is what a tenant has to do with restores: the content of its mailboxes
// and drives, and all sessions.
type vault struct {
	seededAt time.Time             // what the computed content is dated by
	messages map[int][]message     // added by hand, by user number
	files    map[string][]addition // added by hand or restored, by place
	ownMail  map[int]bool          // users who have nothing computed
	ownFiles map[string]bool       // places that have nothing computed
	searches map[string]mailSearch
	searched []string // ids of searches, the oldest first

	sessions []*restoreSession // in order of creation
	byID     map[string]*restoreSession
	browses  []*browseSession // in order of creation
	made     int              // sessions of either sort, for their order

	waiting [len(workloadTable)][]*restoreArtifact // ready to be picked up, the first one first
	running [len(workloadTable)]int                // artifacts in progress
	busy    map[string][]*restoreArtifact          // those of each unit
	copies  map[string]int                         // restores to a new place, by what was restored
}

func newVault(at time.Time) vault {
	return vault{
		seededAt: at, messages: map[int][]message{}, files: map[string][]addition{},
		ownMail: map[int]bool{}, ownFiles: map[string]bool{}, searches: map[string]mailSearch{},
		byID: map[string]*restoreSession{}, busy: map[string][]*restoreArtifact{}, copies: map[string]int{},
	}
}

// RestoreLengths are how long the steps of restores take, in emulated time.
type RestoreLengths struct {
	Activate time.Duration // activating until active; default 1 min
	Queue    time.Duration // scheduled until picked up, if there is room; default 1 min
	Run      time.Duration // inProgress until succeeded or failed; default 10 min
	Resolve  time.Duration // bulk addition request of an activated session until completed; default 2 min
	Browse   time.Duration // browse session creating until created; default 0: created at once
}

func (l RestoreLengths) withDefaults() RestoreLengths {
	for _, d := range []struct {
		length *time.Duration
		usual  time.Duration
	}{{&l.Activate, time.Minute}, {&l.Queue, time.Minute}, {&l.Run, 10 * time.Minute}, {&l.Resolve, 2 * time.Minute}} {
		if *d.length == 0 {
			*d.length = d.usual
		}
	}
	return l
}
