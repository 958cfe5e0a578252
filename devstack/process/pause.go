package process

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/prometheus/procfs"
)

// Pause stops the child and all its descendants with SIGSTOP until [Process.Resume], like a machine that hangs. Parents
// are stopped before their children, so that no new child is missed.
func (p *Process) Pause() error {
	var stopped []int
	for {
		tree, err := p.tree()
		if err != nil {
			return err
		}
		tree = slices.DeleteFunc(tree, func(pid int) bool { return slices.Contains(stopped, pid) })
		if len(tree) == 0 {
			return nil
		}
		if err := signalAll(tree, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("pause %s: %w", p.spec.Name, err)
		}
		stopped = append(stopped, tree...)
	}
}

// Resume ends [Process.Pause].
func (p *Process) Resume() error {
	tree, err := p.tree()
	if err != nil {
		return err
	}
	if err := signalAll(tree, syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", p.spec.Name, err)
	}
	return nil
}

// tree returns the process IDs of the child and its descendants, each after its parent; none if the child has ended.
func (p *Process) tree() ([]int, error) {
	if !p.Running() {
		return nil, nil
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list the processes of %s: %w", p.spec.Name, err)
	}
	children := make(map[int][]int, len(all))
	for _, one := range all {
		if stat, err := one.Stat(); err == nil { // it may have ended
			children[stat.PPID] = append(children[stat.PPID], one.PID)
		}
	}
	tree := []int{p.pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

func signalAll(pids []int, signal syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
