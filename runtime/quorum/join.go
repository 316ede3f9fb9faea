package quorum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"warren.io/warren/runtime/store"
)

const (
	// learners is how many may be joining at a time, those that were begun and given up among them.
	learners = 5
	// changePatience bounds a change of the membership, attemptPatience each attempt at it; retry is how soon something
	// else is tried again.
	changePatience  = 15 * time.Second
	attemptPatience = time.Second
	retry           = 200 * time.Millisecond
	// agreeTries is how often the others are asked until they say the same.
	agreeTries = 25
	// joinMark begins the mark of a first start that is a join.
	joinMark = "joining "
)

// Errors of joining. Use errors.Is.
var (
	// ErrMember means that a member of that name votes already. If it has lost its data it must be removed first.
	ErrMember = errors.New("a manager of this name is a member already")
	// ErrJoinAgain means that a place in the cluster was used for a start that was not finished, or is gone. Ask for a new
	// one by AddLearner.
	ErrJoinAgain = errors.New("this place in the cluster cannot be used any more; join again")
	// ErrRemoved means that the others have removed this member. Its directory is of no use any more.
	ErrRemoved = errors.New("this manager was removed from the cluster")
)

// Joining is a place in the cluster for one new member. It is used once.
type Joining struct {
	ID    uint64   `json:"id"`
	Peers []string `json:"peers"` // addresses of the members, as HOST:PORT
}

// AddLearner makes a place for a new member that is reached at HOST:PORT. The learner costs no votes; when it has received
// everything it asks to become a voter. Called again for a name whose join was not finished it makes a new place, and the
// old one is gone; for a voter it fails with ErrMember.
func (q *Quorum) AddLearner(ctx context.Context, name, address string) (Joining, error) {
	if err := q.addLearner(ctx, name, address); err != nil {
		return Joining{}, fmt.Errorf("add manager %q: %w", name, err)
	}
	m := q.find(name)
	if m == nil {
		return Joining{}, fmt.Errorf("add manager %q: %w: it was removed at once", name, ErrJoinAgain)
	}
	j := Joining{ID: uint64(m.ID)}
	for _, x := range q.known() {
		if x.ID != j.ID {
			j.Peers = append(j.Peers, strings.TrimPrefix(x.URL, "https://"))
		}
	}
	q.log.Info("Made a place for another manager", "name", name, "address", address)
	return j, nil
}

func (q *Quorum) addLearner(ctx context.Context, name, address string) error {
	if err := q.down(); err != nil {
		return err
	}
	if !q.config.Peer.set() {
		return errors.New("this manager has no address for others; run it with --listen and --advertise")
	}
	q.announce(ctx) // the new one asks at the address that the cluster knows
	urls, err := types.NewURLs([]string{"https://" + address})
	if err != nil {
		return err
	}
	if old := q.find(name); old != nil {
		if !old.IsLearner {
			return ErrMember
		}
		if err := q.Remove(ctx, name); err != nil { // what it has in its directory, nobody can know
			return err
		}
	}
	m := membership.Member{ID: types.ID(rand.Uint64()), Attributes: membership.Attributes{Name: name},
		RaftAttributes: membership.RaftAttributes{PeerURLs: urls.StringSlice(), IsLearner: true}}
	return q.change(ctx, func(ctx context.Context) error {
		_, err := q.server.AddMember(ctx, m)
		return err
	})
}

// Exists tells whether a member that has joined or begun a cluster lies in a directory; it can be started. False means
// that there is none, or one that did not come so far.
func Exists(dir string) bool {
	_, member := os.Stat(filepath.Join(dir, "member"))
	_, mark := os.Stat(filepath.Join(dir, firstStart))
	return member == nil && errors.Is(mark, os.ErrNotExist)
}

// Join runs a new member at the place that AddLearner made for it, in a directory that holds none. It returns when the
// member runs; mount its Handler then, because what it has to receive is sent there. Ready is closed when it is there: from
// then on Start is to be used. A join that was ended before that is begun again with AddLearner.
func Join(ctx context.Context, config Config, j Joining) (*Quorum, error) {
	q, err := newQuorum(config)
	if err == nil && !config.Peer.set() {
		err = errors.New("a member of several needs an address")
	}
	if err == nil {
		err = q.prepare(&j)
	}
	if err != nil {
		return nil, fmt.Errorf("join the quorum: %w", err)
	}
	settings, err := q.place(ctx, j)
	if err == nil {
		err = q.begin(&j)
	}
	if err == nil {
		err = q.run(ctx, settings)
	}
	if err != nil {
		q.Close()
		return nil, fmt.Errorf("join the quorum: %w", err)
	}
	return q, nil
}

// place asks the members who they are, and looks for the place among them.
func (q *Quorum) place(ctx context.Context, j Joining) (config.ServerConfig, error) {
	settings, err := q.settings()
	if err != nil {
		return settings, err
	}
	members, err := q.ask(ctx, j.Peers)
	if err != nil {
		return settings, err
	}
	settings.NewCluster, settings.InitialPeerURLsMap = false, types.URLsMap{}
	for _, m := range members {
		urls, err := types.NewURLs(m.PeerURLs)
		if err != nil {
			return settings, err
		}
		name := m.ID.String()
		if uint64(m.ID) == j.ID {
			name = q.config.Name
			if m.Name != name || m.PeerURLs[0] != q.config.Peer.url() {
				return settings, fmt.Errorf("the place is for %q at %s, this is %q at %s", m.Name, m.PeerURLs[0], name, q.config.Peer.url())
			}
		}
		settings.InitialPeerURLsMap[name] = urls
	}
	if settings.InitialPeerURLsMap[q.config.Name] == nil {
		return settings, ErrJoinAgain
	}
	return settings, nil
}

// ask returns the members as all that answer know them. Some may not have heard of the new place yet, and etcd asks any.
func (q *Quorum) ask(ctx context.Context, peers []string) ([]*membership.Member, error) {
	for tries := 0; ; tries++ {
		members, agreed, err := q.askAll(ctx, peers)
		if err != nil || agreed || tries == agreeTries {
			return members, err
		}
		q.pause(ctx, retry)
	}
}

func (q *Quorum) askAll(ctx context.Context, peers []string) (members []*membership.Member, agreed bool, err error) {
	var all []string
	failed := errors.New("no managers are known to ask")
	for _, peer := range peers {
		some, err := q.askOne(ctx, peer)
		if err != nil {
			failed = err
			continue
		}
		all = append(all, fmt.Sprint(sketch(some)))
		if len(some) > len(members) {
			members = some
		}
	}
	if len(all) == 0 {
		return nil, false, fmt.Errorf("ask the other managers: %w", failed)
	}
	return members, len(slices.Compact(all)) == 1, nil
}

// sketch is what must be the same for all in a list of members.
func sketch(members []*membership.Member) (out []string) {
	for _, m := range members {
		out = append(out, m.ID.String()+" "+strings.Join(m.PeerURLs, " "))
	}
	slices.Sort(out)
	return out
}

func (q *Quorum) askOne(ctx context.Context, peer string) (members []*membership.Member, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+peer+"/members", nil)
	if err != nil {
		return nil, err
	}
	resp, err := q.caller.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", peer, resp.Status)
	}
	return members, json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&members)
}

// promote asks for a vote until this member has one. The leader decides: it knows how far this one has come.
func (q *Quorum) promote(ctx context.Context) {
	for ctx.Err() == nil && q.Err() == nil {
		me := q.self()
		if me == nil || !me.IsLearner {
			return
		}
		err := q.change(ctx, func(ctx context.Context) error {
			_, err := q.server.PromoteMember(ctx, uint64(me.ID))
			return err
		})
		if err == nil {
			q.log.Info("This manager votes from now on")
			return
		}
		q.log.V(1).Info("Not a voter yet", "reason", err.Error())
		q.pause(ctx, retry)
	}
}

// announce tells the others the address of this member where it is not the one that they know.
func (q *Quorum) announce(ctx context.Context) {
	for ctx.Err() == nil && q.Err() == nil {
		err := q.Readdress(ctx, q.config.Name, q.config.Peer.Advertise)
		if err == nil || q.self() == nil {
			return
		}
		q.log.Error(err, "Cannot tell the other managers the address of this one")
		q.pause(ctx, time.Second)
	}
}

// Readdress tells all members that one of them is reached at another HOST:PORT from now on. A member that cannot reach the leader,
// because that has moved, too, has this done by one that can.
func (q *Quorum) Readdress(ctx context.Context, name, address string) error {
	m := q.find(name)
	if m == nil {
		return fmt.Errorf("readdress manager %q: %w", name, store.ErrNotFound)
	}
	urls, err := types.NewURLs([]string{"https://" + address})
	if err != nil {
		return fmt.Errorf("readdress manager %q: %w", name, err)
	}
	if slices.Equal(m.PeerURLs, urls.StringSlice()) {
		return nil
	}
	changed := *m
	changed.PeerURLs = urls.StringSlice()
	err = q.change(ctx, func(ctx context.Context) error {
		_, err := q.server.UpdateMember(ctx, changed)
		return err
	})
	if err != nil {
		return fmt.Errorf("readdress manager %q: %w", name, err)
	}
	q.log.Info("Told the managers a new address", "name", name, "address", address)
	return nil
}

// usable tells whether a place can be used in a directory with this mark: what an unfinished start at the same place has
// acknowledged, the others believe to be there.
func (j Joining) usable(mark string, isNew bool) error {
	if mark == joinMark+strconv.FormatUint(j.ID, 10) && !isNew {
		return ErrJoinAgain
	}
	return nil
}
