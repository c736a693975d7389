package rights

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// Rules are what the contract says that each rpc needs. They are immutable and safe for concurrent use.
type Rules struct {
	// permissions are all that the contract names, sorted. The bit of one is its index.
	permissions []string
	// byName and byMethod find the rule of an rpc by `Service/Method` and by gRPC's name.
	byName, byMethod map[string]*Rule
}

// permissions is a set of permissions.
type permissions uint64

// Rule is what one rpc needs.
type Rule struct {
	// RPC is `Service/Method`.
	RPC string
	// Permission is Graph's name, empty when the rpc names none: it is denied then.
	Permission string
	// Effect is the effect of every call. Fields that are set can add others: Rule.Effects.
	Effect pb.GraphCall_Effect

	// covering are the permissions that have Permission within them.
	covering permissions
	fields   *raising
}

// NewRules reads the rules of all operations.
func NewRules(operations []*contract.Operation) *Rules {
	r := &Rules{byName: make(map[string]*Rule), byMethod: make(map[string]*Rule)}
	for _, op := range operations {
		if name := op.Spec.GetPermission(); name != "" {
			r.permissions = append(r.permissions, name)
		}
	}
	slices.Sort(r.permissions)
	r.permissions = slices.Compact(r.permissions)
	plans := make(map[protoreflect.FullName]*raising)
	for _, op := range operations {
		rule := &Rule{RPC: op.Name, Permission: op.Spec.GetPermission(), Effect: op.Spec.GetEffect()}
		rule.covering = r.bits(func(name string) bool { return covers(name, rule.Permission) })
		rule.fields = plan(op.Request, plans)
		r.byName[op.Name], r.byMethod[op.FullMethod] = rule, rule
	}
	return r
}

// bits returns the set of the permissions that match.
func (r *Rules) bits(matches func(name string) bool) permissions {
	var set permissions
	for bit, name := range r.permissions {
		if matches(name) {
			set |= 1 << bit
		}
	}
	return set
}

// covers reports whether a permission that is granted has the one that is needed within it: `X.ReadWrite.All` has
// `X.Read.All`.
func covers(granted, needed string) bool {
	return needed != "" && (granted == needed || strings.Replace(granted, ".ReadWrite.", ".Read.", 1) == needed)
}

// noRule is the rule of what has none. Nothing covers it.
var noRule = &Rule{}

// Of returns the rule of a gRPC method such as `/m365.backupstorage.v1.ServiceAppService/ListServiceApps`. For any
// other method the rule is one that denies everybody.
func (r *Rules) Of(fullMethod string) *Rule {
	if rule := r.byMethod[fullMethod]; rule != nil {
		return rule
	}
	return noRule
}

// Effects returns the effects of a call: that of its rpc, and those that the fields add that its request has set. A nil
// request adds none.
func (r *Rule) Effects(request protoreflect.Message) Effects {
	effects := EffectsOf(r.Effect)
	if request != nil && request.IsValid() {
		effects |= r.fields.of(request)
	}
	return effects
}

// RaisingFields returns the fields of the request, such as `remove_mailbox_protection_unit_ids`, that add an effect
// when they are set, with the effects. A field within another has a path with dots.
func (r *Rule) RaisingFields() map[string]Effects {
	all := make(map[string]Effects)
	r.fields.list("", all, nil)
	return all
}

// raising are the fields of a message that add effects, and the fields within which there are such fields. It is nil
// for a message without any.
type raising struct {
	fields []raisingField
	// done is false while the fields are being looked for.
	done bool
}

type raisingField struct {
	protoreflect.FieldDescriptor
	effects Effects
	within  *raising
}

// plan looks for the fields of a message. Messages can contain themselves: plans has those that are being looked at.
func plan(message protoreflect.MessageDescriptor, plans map[protoreflect.FullName]*raising) *raising {
	if known, ok := plans[message.FullName()]; ok {
		return known
	}
	p := &raising{}
	plans[message.FullName()] = p
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		option, _ := proto.GetExtension(field.Options(), pb.E_GraphField).(*pb.GraphField)
		f := raisingField{FieldDescriptor: field, effects: EffectsOf(option.GetEffect())}
		inner := field.Message()
		if field.IsMap() {
			inner = field.MapValue().Message()
		}
		if inner != nil && inner.ParentFile().Package() == message.ParentFile().Package() {
			f.within = plan(inner, plans)
		}
		// A message that is being looked at can still turn out to have such fields.
		if f.effects != 0 || f.within != nil && (len(f.within.fields) > 0 || !f.within.done) {
			p.fields = append(p.fields, f)
		}
	}
	p.done = true
	return p
}

// of returns the effects that the fields of a message add.
func (r *raising) of(message protoreflect.Message) Effects {
	var effects Effects
	if r == nil {
		return effects
	}
	for _, field := range r.fields {
		if !message.Has(field.FieldDescriptor) {
			continue
		}
		effects |= field.effects
		switch {
		case field.within == nil:
		case field.IsList():
			list := message.Get(field.FieldDescriptor).List()
			for i := range list.Len() {
				effects |= field.within.of(list.Get(i).Message())
			}
		case field.IsMap():
			message.Get(field.FieldDescriptor).Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				effects |= field.within.of(value.Message())
				return true
			})
		default:
			effects |= field.within.of(message.Get(field.FieldDescriptor).Message())
		}
	}
	return effects
}

func (r *raising) list(prefix string, all map[string]Effects, outer []*raising) {
	if r == nil || slices.Contains(outer, r) {
		return
	}
	for _, field := range r.fields {
		if field.effects != 0 {
			all[prefix+string(field.Name())] = field.effects
		}
		field.within.list(prefix+string(field.Name())+".", all, append(slices.Clone(outer), r))
	}
}
